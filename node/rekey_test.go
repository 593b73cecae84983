package node_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/protocol"
)

// TestErasureUnderANewKey has a member change its operations key and erase an object
// before anybody knows: the tombstone counts as soon as the record with the key has
// come, with no restart.
func TestErasureUnderANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", simulationTerms, map[string]string{"bank": "company", "cert": "cert"})
		bank, cert := all[0], all[1]
		<-time.After(5 * time.Second)
		if r, err := bank.node.Publish(context.Background(), node.PublishRequest{Topic: "watch/findings", Items: items(object("indicator", "gone", nil))}); err != nil || r.Published != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		id := idOf("indicator", "gone")
		held := func() bool {
			got, err := cert.store.Get(id)
			return err == nil && len(got) == 1
		}
		l.eventually(10*time.Second, "the object arriving", held)

		bank.down()
		seed := sha256.Sum256([]byte("a new operations key"))
		bank.keys[protocol.OperationsRole] = ed25519.NewKeyFromSeed(seed[:])
		bank.start()
		<-time.After(5 * time.Second)
		if _, err := bank.node.Erase(context.Background(), []string{id}, "wrong"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if !held() {
			t.Fatal("a tombstone under a key that no record has was obeyed")
		}

		next := *bank.record
		next.Version, next.Previous, next.Operations.Key = 2, bank.record.Hash, protocol.PublicOf(bank.keys[protocol.OperationsRole])
		text, err := protocol.RenderRecord(next)
		if err != nil {
			t.Fatal(err)
		}
		bank.take(protocol.Document{Type: protocol.RecordType, Payload: text, Signatures: []protocol.Signature{
			protocol.SignDocument(protocol.RecordType, text, bank.record.Member, bank.keys[protocol.RootKey]),
		}})
		l.eventually(20*time.Minute, "the object being erased at the other one", func() bool { return !held() })
		l.eventually(2*time.Minute, "its receipt", func() bool {
			list, err := bank.node.Erasures(context.Background())
			return err == nil && len(list) == 1 && len(list[0].Missing) == 0 && len(list[0].Confirmed) > 0
		})
	})
}
