package recipes

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func names(line []Place) (all []string) {
	for _, p := range line {
		all = append(all, p.Name)
	}
	return all
}

func TestLine_OrderRecognisesAndIgnores(t *testing.T) {
	l := Line{Kind: "lock-", Also: []string{"__lock__"}}
	children := []string{
		"_c_e7c75a00-a67e-4401-988c-835cb028acdd-lock-0000000012", // Curator, docent
		"6d30b8b06d30b8b06d30b8b06d30b8b0__lock__0000000003",      // kazoo
		"_c_6d30b8b06d30b8b06d30b8b06d30b8b0-lock-0000000007",     // go-zookeeper
		"lock-0000000009",   // unprotected
		"readme",            // CURATOR-43: strangers
		"lock-",             //
		"lock-12",           //
		"lock-00000000xx",   //
		"leases-0000000001", //
		"_c_e7c75a00-a67e-4401-988c-835cb028acdd-__READ__0000000001",
	}
	want := []string{children[1], children[2], children[3], children[0]}
	if got := names(l.order(children)); !slices.Equal(got, want) {
		t.Errorf("order = %q, want %q", got, want)
	}
}

func TestLine_OrderIsByNumberAlone_ZOOKEEPER2931(t *testing.T) {
	l := Line{Kind: "lock-"}
	got := names(l.order([]string{"_c_aaaa-lock-0000000002", "_c_ffff-lock-0000000001"}))
	if want := []string{"_c_ffff-lock-0000000001", "_c_aaaa-lock-0000000002"}; !slices.Equal(got, want) {
		t.Errorf("order = %q, want %q", got, want)
	}
}

// The counter of an old server overflows; kazoo compares the text and so lets the newest in (ZOOKEEPER-4372).
func TestLine_OrderSurvivesTheWrap_ZOOKEEPER4372(t *testing.T) {
	want := []string{"lock-2147483643", "lock-2147483646", "lock-2147483647", "lock--2147483648", "lock--2147483647"}
	l := Line{Kind: "lock-"}
	for range 100 {
		shuffled := slices.Clone(want)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := names(l.order(shuffled)); !slices.Equal(got, want) {
			t.Fatalf("order of %q = %q", shuffled, got)
		}
	}
}

func TestLine_Blocker(t *testing.T) {
	l := Line{Kind: "lock-"}
	line := l.order([]string{"lock-0000000005", "lock-0000000003", "x-lock-0000000009"})
	for _, c := range []struct {
		name, blocker string
		err           error
	}{
		{"lock-0000000003", "", nil},
		{"lock-0000000005", "lock-0000000003", nil},
		{"x-lock-0000000009", "lock-0000000005", nil}, // the one ahead, not the first: no herd
		{"lock-0000000001", "", ErrGone},              // CURATOR-211, go-zookeeper: never "nobody below me"
	} {
		got, err := l.blocker(line, c.name)
		if !errors.Is(err, c.err) || (got == nil) != (c.blocker == "") || got != nil && got.Name != c.blocker {
			t.Errorf("blocker of %s = %v, %v, want %q, %v", c.name, got, err, c.blocker, c.err)
		}
	}
}

// Apache's counter sticks at 2³¹−1, so names with a GUID all get one number, and two contenders would be first.
func TestLine_EqualNumbersAreAnError_ZOOKEEPER4372(t *testing.T) {
	l := Line{Kind: "lock-"}
	line := l.order([]string{"a-lock-2147483647", "b-lock-2147483647"})
	for _, name := range names(line) {
		if _, err := l.blocker(line, name); !errors.Is(err, ErrSequenceExhausted) {
			t.Errorf("blocker of %s: %v, want ErrSequenceExhausted", name, err)
		}
	}
}

// The orders that others used let the newest in first: by the text of the number (kazoo: ZOOKEEPER-4372), by the number
// as such, and by the whole name, in which the session or a GUID stands (ZOOKEEPER-2931). The line's own does not.
func TestLine_OrdersOfOthers(t *testing.T) {
	number := func(name string) string { return name[strings.LastIndex(name, "lock-")+len("lock-"):] }
	byText := func(a, b string) int { return strings.Compare(number(a), number(b)) }
	bySize := func(a, b string) int {
		i, err := strconv.Atoi(number(a))
		j, err2 := strconv.Atoi(number(b))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return i - j
	}
	for _, c := range []struct {
		want  []string
		naive func(a, b string) int
	}{
		{[]string{"lock-2147483646", "lock-2147483647", "lock--2147483648"}, byText},
		{[]string{"lock-2147483646", "lock-2147483647", "lock--2147483648"}, bySize},
		{[]string{"_c_ffff-lock-0000000001", "_c_aaaa-lock-0000000002"}, strings.Compare},
	} {
		l := Line{Kind: "lock-"}
		if got := names(l.order(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("order = %q, want %q", got, c.want)
		}
		if naive := slices.SortedFunc(slices.Values(c.want), c.naive); slices.Equal(naive, c.want) {
			t.Errorf("the naive order of %q is right: the case proves nothing", c.want)
		}
	}
}
