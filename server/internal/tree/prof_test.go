package tree_test
import ("testing";"bytes";"github.com/docent-io/docent/server/internal/tree")
func BenchmarkRestoreProf(b *testing.B) {
	w := million(b)
	var f bytes.Buffer
	w.Snapshot().WriteTo(&f)
	w = nil
	raw := f.Bytes()
	b.ResetTimer()
	for b.Loop() { if _, err := tree.Restore(bytes.NewReader(raw)); err != nil { b.Fatal(err) } }
}
