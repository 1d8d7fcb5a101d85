package config_test

import (
	"testing"

	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/recipes"
)

// FuzzFormats reads anything as a number in each format: what is taken comes back the same when it is written.
func FuzzFormats(f *testing.F) {
	for _, s := range []string{"", "-9223372036854775808", " 12\n", "\x00\x00\x00\x01", "\x80\x00\x00\x00\x00\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, c := range []recipes.Codec[int64]{config.Decimal(), config.Int32(), config.Int64()} {
			n, err := c.Decode(data)
			if err != nil {
				continue
			}
			b, err := c.Encode(n)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := c.Decode(b); err != nil || again != n {
				t.Errorf("%T: %d comes back as %d, %v", c, n, again, err)
			}
		}
	})
}
