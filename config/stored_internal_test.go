package config

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	"github.com/docent-io/docent/recipes"
)

// FuzzSaved reads anything as the file of WatchSaved: only a copy of this very value is taken, and it comes back the same.
func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"Path":"/a","Version":{"Number":1},"Data":"eA=="}`))
	f.Add([]byte(`{"Path":"/b","Data":"eA=="}`))
	f.Add([]byte(`{"Path":"/a","Data":null}`))
	f.Add([]byte(`{"Path":"/a"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v := newValue("/a", []Option[[]byte]{WithCodec(recipes.Bytes())})
		value, saved, err := v.decodeSaved(data)
		if err != nil {
			return
		}
		if saved.Path != "/a" {
			t.Fatalf("a copy of %q is taken", saved.Path)
		}
		text, err := json.Marshal(savedCopy{Path: saved.Path, Version: saved.Version, Data: value})
		if err != nil {
			t.Fatal(err)
		}
		again, savedAgain, err := v.decodeSaved(text)
		if err != nil || !slices.Equal(again, value) || savedAgain.Version != saved.Version {
			t.Errorf("%q of %+v comes back as %q of %+v, %v", value, saved.Version, again, savedAgain.Version, err)
		}
	})
}

// FuzzBundleNames reads anything as what a bundle's pointer holds, and as the name of one of its files.
func FuzzBundleNames(f *testing.F) {
	f.Add("v-0000000012", "limits/a")
	f.Add("v--2147483648", "..")
	f.Add("v-+1", "%2")
	f.Add("v-99999999999", "\xff")
	f.Fuzz(func(t *testing.T, pointer, file string) {
		if _, ok := bundleNumber(pointer); ok && url.PathEscape(pointer) != pointer {
			t.Errorf("%q counts as a bundle", pointer)
		}
		if name, err := url.PathUnescape(url.PathEscape(file)); err != nil || name != file {
			t.Errorf("the file %q comes back as %q, %v", file, name, err)
		}
	})
}
