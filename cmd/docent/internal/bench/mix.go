package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// kind is what a request does.
type kind uint8

const (
	get kind = iota
	set
	exists
	children
	syncAll
	create          // and delete what was created, in turn
	ephemeral       // create an ephemeral sequential node, and delete it when its name is known
	del             // the second half of create
	ephemeralDelete // the second half of ephemeral
	kinds
)

var kindNames = [kinds]string{"get", "set", "exists", "children", "sync", "create", "ephemeral", "delete", "ephemeral-delete"}

func (k kind) String() string { return kindNames[k] }

// write tells whether the request changes the tree.
func (k kind) write() bool { return k == set || k >= create }

// Mix says which share of the requests is of which kind.
type Mix struct {
	kinds []kind
	upTo  []float64 // running sums of the shares, of 1 in all
	text  string
}

// Reads returns the mix of the usual figures: so many percent get, the rest set.
func Reads(percent float64) (Mix, error) {
	if !(percent >= 0 && percent <= 100) {
		return Mix{}, fmt.Errorf("%v percent", percent)
	}
	return ParseMix(fmt.Sprintf("get=%v,set=%v", percent, 100-percent))
}

// ParseMix reads "get=90,set=10". Shares are weights; "set" alone is set=1. The kinds are get, set, exists, children,
// sync, create (and delete in turn) and ephemeral (a sequential one, and delete in turn).
func ParseMix(text string) (Mix, error) {
	m := Mix{text: text}
	var weights []float64
	sum := 0.0
	for part := range strings.SplitSeq(text, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(part), "=")
		i := slices.Index(kindNames[:del], name)
		if i < 0 {
			return m, fmt.Errorf("%q: want %s", name, strings.Join(kindNames[:del], ", "))
		}
		weight := 1.0
		if given {
			var err error
			if weight, err = strconv.ParseFloat(value, 64); err != nil || !(weight >= 0 && weight <= 1e6) {
				return m, fmt.Errorf("%q: %q is no share", part, value)
			}
		}
		if slices.Contains(m.kinds, kind(i)) {
			return m, fmt.Errorf("%s is there twice", name)
		}
		if weight > 0 {
			m.kinds = append(m.kinds, kind(i))
			weights = append(weights, weight)
			sum += weight
		}
	}
	if sum == 0 {
		return m, errors.New("all shares are 0")
	}
	upTo := 0.0
	for _, w := range weights {
		upTo += w / sum
		m.upTo = append(m.upTo, upTo)
	}
	return m, nil
}

func (m Mix) String() string { return m.text }

func (m Mix) pick(rng *rand.Rand) kind {
	if len(m.kinds) == 1 {
		return m.kinds[0]
	}
	x := rng.Float64()
	for i, upTo := range m.upTo {
		if x < upTo {
			return m.kinds[i]
		}
	}
	return m.kinds[len(m.kinds)-1] // but for rounding
}

// writes tells whether any kind of the mix changes the tree.
func (m Mix) writes() bool { return slices.ContainsFunc(m.kinds, kind.write) }
