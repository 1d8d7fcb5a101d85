package server_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
)

// dataFolder makes the folder of a server that has stopped, with a snapshot and a log behind it, and returns the digest of its tree.
func dataFolder(t *testing.T) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	srv := start(t, withAdmin, inFolder(dir), func(c *server.Config) { c.SnapshotBytes = 64 << 10 })
	c, err := client.Dial(wait(t), client.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := c.Create(wait(t), fmt.Sprintf("/n%03d", i), bytes.Repeat([]byte{'x'}, 800)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	digest = hash(t, srv)
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

func inFolder(dir string) func(*server.Config) { return func(c *server.Config) { c.Data = dir } }

func TestCheckData(t *testing.T) {
	t.Parallel()
	dir, _ := dataFolder(t)
	before := contents(t, dir)
	info, err := server.CheckData(dir)
	if err != nil || info.Member != 1 || info.Starts != 1 || info.Snapshots != 1 || info.Segments == 0 || info.LastEntry < 200 || info.Nodes < 50 {
		t.Errorf("%+v, %v", info, err)
	}
	for name, text := range contents(t, dir) {
		if !bytes.Equal(text, before[name]) {
			t.Errorf("the check changed %s", name)
		}
	}
	srv := start(t, inFolder(dir))
	if _, err := server.CheckData(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a server that runs: %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.CheckData(filepath.Join(dir, "nothing")); err == nil {
		t.Error("no folder is a whole folder")
	}
}

// Whichever bit of a folder is wrong: either the check names the file and the server refuses it, or it is a bit that
// means nothing and the server has the same tree.
func TestDamage_IsNamedAndRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	dir, digest := dataFolder(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	found, harmless := 0, 0
	for name, text := range contents(t, dir) {
		if len(text) == 0 {
			continue // the lock
		}
		for range 12 {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			bit := rnd.IntN(min(8*len(text), 8*80<<10)) // behind that nothing is written
			damaged := bytes.Clone(text)
			damaged[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(filepath.Join(copied, name), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			_, checked := server.CheckData(copied)
			srv, err := server.Start(server.Config{Listen: "127.0.0.1:0", AdminListen: "0", Data: copied})
			switch {
			case err != nil:
				found++
				if checked == nil || !strings.Contains(checked.Error(), filepath.Base(name)) && !strings.Contains(checked.Error(), filepath.Base(filepath.Dir(name))) {
					t.Errorf("%s, bit %d: the server refuses (%v), the check says %v", name, bit, err, checked)
				}
				if !strings.Contains(err.Error(), copied) {
					t.Errorf("%s, bit %d: refused without naming it: %v", name, bit, err)
				}
				continue
			case checked != nil:
				t.Errorf("%s, bit %d: the check says %v, the server starts", name, bit, checked)
			default:
				harmless++
			}
			if got := hash(t, srv); got != digest {
				t.Errorf("%s, bit %d: served with %s, was %s", name, bit, got, digest)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d bits found, %d harmless", found, harmless)
	if found == 0 {
		t.Error("no damage was found")
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("files in %s: %d, %v", dir, len(files), err)
	}
	return files
}
