package replica_test

import (
	"bytes"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/docent-io/docent/server/internal/replica"
)

// FuzzPeerSizes reads anything as each thing a peer may send: no memory beyond what has come, whatever length is claimed.
func FuzzPeerSizes(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0x00, 1, 2, 3})
	f.Add([]byte("docent\x02c0123456789012345678901234567890123456789"))
	f.Add(append([]byte{48, 0, 0, 0}, replica.Entry(1, packet(2, 1, 1, command(2, 1)))[9:]...))
	f.Add([]byte(`{"Members":[{"ID":1,"Addr":"a:1"}],"Kind":1,"Text":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if crc32.ChecksumIEEE(b)%16 > 0 { // to measure stops the world
			replica.DecodePeerBytes(b, 2)
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		replica.DecodePeerBytes(b, 2)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(200*len(b)+512<<10) {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
	})
}

// FuzzEntry applies anything as an entry of the log, on two machines: they do the same, and only what an entry that was put
// together again does.
func FuzzEntry(f *testing.F) {
	f.Add(replica.Entry(1, packet(2, 1, 1, command(2, 1), command(2, 2)), packet(3, 1, 1, command(3, 1))))
	f.Add(replica.Entry(1))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var images [2][]byte
		for i := range images {
			x := replica.NewFSM(nobody{newCounters()}, 1, 1)
			x.Apply(1, b)
			image, err := x.Image()
			if err != nil {
				if _, bad := replica.ReencodeEntry(b); bad == nil || x.Failed == nil {
					t.Errorf("a machine that was given a good entry fails: %v", err)
				}
				return // it stops, and so does its server
			}
			images[i] = image
			y := replica.NewFSM(nobody{newCounters()}, 1, 1)
			if err := y.Load(image); err != nil {
				t.Fatalf("its own image is refused: %v", err)
			}
			again, err := y.Image()
			if err != nil || !bytes.Equal(again, image) {
				t.Errorf("the image is not what it was after a restore: %v", err)
			}
		}
		if !bytes.Equal(images[0], images[1]) {
			t.Error("two machines differ")
		}
		read, err := replica.ReencodeEntry(b)
		if err == nil && !bytes.Equal(read, b) {
			t.Errorf("the entry comes back as %x", read)
		}
	})
}
