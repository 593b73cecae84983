package protocol

// check returns nil for a position up to the closing one. The entry at the
// closing position itself must be the one that was named.
func (c Closing) check(op string, at Position) error {
	switch {
	case at.Sequence > c.Position.Sequence:
		return Errorf(Refused, op, "entry %d is beyond %d, where the log was closed", at.Sequence, c.Position.Sequence)
	case at.Sequence == c.Position.Sequence && at.Head != c.Position.Head:
		return Errorf(Conflict, op, "entry %d is not the one that the log was closed with", at.Sequence)
	}
	return nil
}

// ClosedLogs tells which entries of logs still count, from the cuts of
// agreements and the closing positions of retired nodes (documents spec,
// "Cuts"). The zero ClosedLogs closes nothing. It is not to be changed while
// it is read.
type ClosedLogs struct {
	closings map[Hash][]Closing
}

// NewClosedLogs returns what the documents close. Of agreements give the version
// in force alone (or both heads of a fork), of records the newest of each member.
func NewClosedLogs(agreements []*Agreement, records []*Record) ClosedLogs {
	c := ClosedLogs{closings: map[Hash][]Closing{}}
	for _, a := range agreements {
		for _, cut := range a.Cuts {
			c.closings[cut.Log] = append(c.closings[cut.Log], Closing{Log: cut.Log, Position: cut.Position})
		}
	}
	for _, r := range records {
		for i := range r.Retired {
			for _, closing := range r.Retired[i].Closing {
				c.closings[closing.Log] = append(c.closings[closing.Log], closing)
			}
		}
	}
	return c
}

// Check returns nil for an entry that counts. One beyond a closing position is
// Refused; one in the place of the closing entry, but another, is Conflict.
// Where two documents close a log, both are heeded.
func (c ClosedLogs) Check(log Hash, at Position) error {
	for _, closing := range c.closings[log] {
		if err := closing.check("check closing position", at); err != nil {
			return err
		}
	}
	return nil
}

// End returns the lowest position at which the log was closed, and whether it
// was.
func (c ClosedLogs) End(log Hash) (Position, bool) {
	closings := c.closings[log]
	if len(closings) == 0 {
		return Position{}, false
	}
	end := closings[0].Position
	for _, other := range closings[1:] {
		if other.Position.Sequence < end.Sequence {
			end = other.Position
		}
	}
	return end, true
}

// Ended reports whether a log of a member under this version of an agreement is
// over although no cut names it: the member is no party, so nothing of its logs
// counts but what the cuts leave. Readers ask it after Check, for every log
// that no cut closes.
func (a *Agreement) Ended(member MemberID, log Hash) bool {
	if a.Party(member) != nil {
		return false
	}
	for i := range a.Cuts {
		if a.Cuts[i].Log == log {
			return false
		}
	}
	return true
}
