package groups

import (
	"errors"
	"fmt"
	"time"
)

// Option changes a membership, a registration or a directory; those that it does not concern ignore it.
type Option func(*options)

type options struct {
	id          string        // of a member
	base        string        // where services are
	sel         selector      //
	settle      time.Duration // before a change is shown
	guard       time.Duration // how long a mass removal is not believed
	quarantine  time.Duration // the first
	reportEvery time.Duration // at most
	errs        []error
}

// maxQuarantine bounds how long an instance that keeps failing is left alone.
const maxQuarantine = time.Minute

func newOptions(opts []Option) (options, error) {
	o := options{base: "/svc", guard: 10 * time.Second, quarantine: time.Second, reportEvery: 5 * time.Second}
	for _, opt := range opts {
		opt(&o)
	}
	return o, errors.Join(o.errs...)
}

func (o *options) duration(name string, field *time.Duration, d time.Duration) {
	if d < 0 {
		o.errs = append(o.errs, fmt.Errorf("%s(%v) is negative", name, d))
	}
	*field = d
}

// ID names the member: it is the name of its node, and unique in the group. By default it is made of the client's
// identity and something random. A member that comes back under the same ID waits until its left-over is gone.
func ID(id string) Option {
	return func(o *options) {
		if err := checkID("the ID of a member", id); err != nil {
			o.errs = append(o.errs, err)
		}
		o.id = id
	}
}

// Under says where services are kept; by default it is /svc. (Curator calls it the base path.)
func Under(base string) Option { return func(o *options) { o.base = base } }

// Select makes a directory show only the instances for which all terms of expr hold:
//
//	selection  = [ term { "," term } ]
//	term       = field operator value
//	field      = "flavor" | "version" | "load" | "status" | "id" | "host" | "port" | "meta." name
//	operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
//	value      = text without any of , " = < > ! | a quoted Go string
//
// Spaces around each of them do not count. Text knows = and != alone. The version is compared by the precedence of
// semantic versions (1.5 is 1.5.0, and 2.0.0-rc.1 comes before 2.0.0), load and port as numbers, and entries of Meta as
// text by = and !=, as numbers by the others. A missing or unreadable value is different from every value, and neither
// more nor less than any. A bad expr is a *SelectError of whatever the directory is asked first.
func Select(expr string) Option {
	return func(o *options) {
		sel, err := parseSelector(expr)
		if err != nil {
			o.errs = append(o.errs, err)
		}
		o.sel = sel
	}
}

// WithSettle makes what is watched wait for d after a change, for further ones to be shown together with it. The first
// view is not delayed. By default changes show at once.
func WithSettle(d time.Duration) Option {
	return func(o *options) { o.duration("WithSettle", &o.settle, d) }
}

// WithGuard says for how long a directory does not believe that most instances have vanished: when three or more, and
// more than half of all, went within d and did not drain first, they are shown until they have been away for d. By
// default that is 10 seconds; zero believes everything.
func WithGuard(d time.Duration) Option {
	return func(o *options) { o.duration("WithGuard", &o.guard, d) }
}

// WithQuarantine says for how long an instance is left alone that failed a picker for the first time; every further
// failure doubles it, up to a minute. By default that is one second; zero forgives at once.
func WithQuarantine(d time.Duration) Option {
	return func(o *options) { o.duration("WithQuarantine", &o.quarantine, d) }
}

// ReportEvery says how often ReportLoad publishes at most. By default that is every 5 seconds.
func ReportEvery(d time.Duration) Option {
	return func(o *options) { o.duration("ReportEvery", &o.reportEvery, d) }
}
