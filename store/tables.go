package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// checkTables verifies every table that the database would open. It is done
// before, because from a damaged table Badger reads on as if it had ended, and
// from some damage it panics in a goroutine of its own or ends the process.
func checkTables(dir string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // new
	}
	if err != nil {
		return err
	}
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for id := range manifest.Tables {
		if err := checkTable(table.NewFilename(id, dir)); err != nil {
			return err
		}
	}
	return nil
}

func checkTable(path string) (err error) {
	if err := checkFooter(path); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	mapped, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s is damaged: %v", path, r)
		}
	}()
	// Where it fails it closes the file itself.
	if _, err = table.OpenTable(mapped, table.Options{ReadOnly: true, ChkMode: options.OnTableRead}); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return mapped.Close(-1)
}

// checkFooter makes sure that the lengths at the end of a table lie within it:
// index, length of the index, checksum of the index, length of the checksum.
func checkFooter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	left := info.Size()
	for range 2 {
		var length [4]byte
		if left -= 4; left < 0 {
			return errors.Join(errors.New("it is cut short"), f.Close())
		}
		if _, err := f.ReadAt(length[:], left); err != nil {
			return errors.Join(err, f.Close())
		}
		if left -= int64(binary.BigEndian.Uint32(length[:])); left < 0 {
			return errors.Join(errors.New("its end is false"), f.Close())
		}
	}
	return f.Close()
}
