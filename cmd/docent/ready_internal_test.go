package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A line of the child's may be as long as a node's data; one that is longer is an error, and not waited for in silence.
func TestReadiness_LongLines(t *testing.T) {
	for _, x := range []struct {
		length  int
		failure string
	}{{200_000, ""}, {maxData + 1, "a line of more than"}} {
		posted := make(chan json.RawMessage, 1)
		r, err := newReadiness(3, func(_ context.Context, value json.RawMessage) error {
			posted <- value
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		child := r.childEnd
		r.childEnd = nil // begin would close it, for a child has its own
		said := make(chan struct{})
		r.begin(t.Context())
		go func() {
			defer close(said)
			child.Write(append(bytes.Repeat([]byte("x"), x.length), '\n'))
			child.Close()
		}()
		select {
		case value := <-posted:
			t.Errorf("%d bytes without = are posted: %.20s", x.length, value)
		case err := <-r.failed:
			if want := x.failure; want != "" && !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: %v", x.length, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%d bytes: nothing is said", x.length)
		}
		r.close()
		<-said
	}
}
