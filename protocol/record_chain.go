package protocol

import (
	"fmt"
	"slices"
)

// VerifyRecord checks that a document is a record, or a profile, that continues
// prev (nil: that it is version 1), signed by the root keys that must have
// signed: its own, and that of the version before it (documents spec, "Versions
// of a record"). It returns the record. Whether its time has come or passed is
// for InForce to say: a chain is full of records that have ended.
//
// A profile's claim to be a member's is only as good as its root key: CheckRoot
// compares it with what an agreement pins.
//
// Errors: Invalid for its form, Conflict where it does not continue prev,
// Unverified where a version or signature is missing, BadSignature where one is
// false.
func VerifyRecord(d Document, prev *Record) (*Record, error) {
	const op = "verify member record"
	r, err := ParseRecord(d.Payload)
	if err != nil {
		return nil, err
	}
	if d.Type != r.Type() {
		return nil, Errorf(Malformed, op, "the envelope says %.80q, the document says %q", d.Type, r.Type())
	}
	roots := []Party{{Root: r.Root}}
	if prev != nil {
		if err := r.continues(prev); err != nil {
			return nil, E(Conflict, op, err, "")
		}
		roots = append(roots, Party{Root: prev.Root})
	} else if r.Version != 1 {
		return nil, E(Unverified, op, fmt.Errorf("version %d of the record of %s continues a version that is not here", r.Version, r.Handle), "import its earlier versions first")
	}
	signed, err := signedKeys(d, roots)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		if !signed[root.Root] {
			return nil, E(Unverified, op, fmt.Errorf("version %d of the record of %s is not signed by the root key %s", r.Version, r.Handle, root.Root),
				"put its .sigs file beside it, or ask for the signed record")
		}
	}
	return r, nil
}

// CheckRoot returns nil where a first record or profile is of the member that an
// agreement names, under the root key that the agreement pins; else Unverified.
// Later records follow from the first by their chain.
func (r *Record) CheckRoot(p Party) error {
	if r.Member == p.ID && r.Root == p.Root {
		return nil
	}
	return E(Unverified, "check root key", fmt.Errorf("the record of %s is signed by %s; the agreement names %s as root key of %s", r.Handle, r.Root, p.Root, p.Handle),
		"ask the member by another way which key is right")
}

// continues holds a version to what it may change of the one before it.
func (r *Record) continues(prev *Record) error {
	switch {
	case r.Member != prev.Member || r.Public != prev.Public:
		return fmt.Errorf("version %d of the record of %s is of another member or kind than the version before it", r.Version, r.Handle)
	case r.Version != prev.Version+1 || r.Previous != prev.Hash:
		return fmt.Errorf("version %d of the record of %s does not continue version %d, which is here", r.Version, r.Handle, prev.Version)
	case r.From.Before(prev.From):
		return fmt.Errorf("version %d of the record of %s begins before version %d", r.Version, r.Handle, prev.Version)
	}
	for i := range prev.Retired {
		if err := r.keepsRetired(&prev.Retired[i]); err != nil {
			return err
		}
	}
	for i := range prev.Nodes {
		if err := r.keepsNode(&prev.Nodes[i]); err != nil {
			return err
		}
	}
	return r.keepsKeys(prev)
}

func (r *Record) keepsRetired(old *RetiredNode) error {
	i := slices.IndexFunc(r.Retired, func(n RetiredNode) bool { return n.Number == old.Number && n.Epoch == old.Epoch })
	if i < 0 {
		return fmt.Errorf("node %d was retired in epoch %d and must stay among the retired", old.Number, old.Epoch)
	}
	if now := &r.Retired[i]; now.Key != old.Key || !now.At.Equal(old.At) || !slices.Equal(now.Closing, old.Closing) {
		return fmt.Errorf("what was said when node %d was retired in epoch %d has changed; it stands for good", old.Number, old.Epoch)
	}
	return nil
}

// keepsNode holds that epochs never fall, that a key changes exactly with its
// epoch, and that a key which goes is retired, so that its closing positions
// are known.
func (r *Record) keepsNode(old *NodeEntry) error {
	i := slices.IndexFunc(r.Nodes, func(n NodeEntry) bool { return n.Number == old.Number })
	if i >= 0 && r.Nodes[i].Epoch == old.Epoch && r.Nodes[i].Key == old.Key {
		return nil
	}
	if i >= 0 && (r.Nodes[i].Epoch <= old.Epoch || r.Nodes[i].Key == old.Key) {
		return fmt.Errorf("node %d: the epoch rises exactly when the key changes", old.Number)
	}
	retired := func(n RetiredNode) bool { return n.Number == old.Number && n.Epoch == old.Epoch && n.Key == old.Key }
	if !slices.ContainsFunc(r.Retired, retired) {
		return fmt.Errorf("epoch %d of node %d is gone and its key not among the retired", old.Epoch, old.Number)
	}
	return nil
}

// keepsKeys holds that a key stays in its role from one version to the next.
func (r *Record) keepsKeys(prev *Record) error {
	before := map[PublicKey]keyRole{}
	for _, k := range prev.keyRoles() {
		before[k.key] = k
	}
	for _, k := range r.keyRoles() {
		if was, known := before[k.key]; known && was != k {
			return fmt.Errorf("the key %s was a %s key and is now a %s key; one key never serves twice", k.key, was.role, k.role)
		}
	}
	return nil
}

// keyRole is what a key does in a record, and for which node.
type keyRole struct {
	key  PublicKey
	role KeyRole
	node uint32 // 0: for the member
}

func (r *Record) keyRoles() []keyRole {
	roles := []keyRole{{r.Root, RootKey, 0}, {r.Operations.Key, OperationsRole, 0}}
	for _, n := range r.Nodes {
		roles = append(roles, keyRole{n.Key, NodeKey, n.Number}, keyRole{n.Transport, TransportKey, n.Number})
	}
	for _, n := range r.Retired {
		roles = append(roles, keyRole{n.Key, NodeKey, n.Number})
	}
	return roles
}
