package groups

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// closeTimeout bounds Registration.Close.
const closeTimeout = 3 * time.Second

// Registration is an instance's own side: it is kept in the directory until Close, from session to session. Its methods
// may be called by several goroutines at once.
type Registration struct {
	p      *recipes.Presence
	every  time.Duration
	closed chan struct{}
	once   sync.Once // closes closed

	mu  sync.Mutex // guards in and gen, and makes the presence get the values in their order
	in  Instance
	gen int // counts the changes of in
}

// Register puts an instance into the directory and returns when it can be found there. While a node of the same service
// and ID belongs to somebody else it waits for that to go; when ctx ends first, it fails with an error that matches
// recipes.ErrTaken, and leaves nothing behind.
func Register(ctx context.Context, c *client.Client, in Instance, o ...Option) (*Registration, error) {
	opts, err := newOptions(o)
	if err == nil {
		in = in.clone()
		in.complete(c.Identity())
		err = in.check()
	}
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", in.Service, err)
	}
	data, err := instanceCodec{}.Encode(in)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", in.Service, err)
	}
	r := &Registration{in: in, every: opts.reportEvery, closed: make(chan struct{})}
	r.p = recipes.NewPresence(c, zpath.Join(zpath.Join(opts.base, in.Service), in.ID), data)
	r.p.OnDrift(r.heed)
	if err := r.p.Ready(ctx); err != nil {
		return nil, fmt.Errorf("register %s: %w", in.Service, errors.Join(err, r.p.Close(ctx)))
	}
	return r, nil
}

func (in *Instance) complete(identity string) {
	if in.ID == "" {
		in.ID = newID(identity)
	}
	if in.Status == "" {
		in.Status = Up
	}
	in.Registered = time.Now()
}

func (in Instance) clone() Instance {
	in.Meta = maps.Clone(in.Meta)
	return in
}

// Check tells why Register would refuse the instance, without any I/O; nil if it would not. An empty ID is none of the
// reasons: Register makes one.
func (in Instance) Check() error {
	in.complete("anybody")
	return in.check()
}

func (in *Instance) check() error {
	errs := []error{checkID("the name of a service", in.Service), checkID("the ID of an instance", in.ID)}
	if in.Host == "" {
		errs = append(errs, errors.New("the Host is empty"))
	}
	if in.Port < 0 || in.Port > math.MaxUint16 {
		errs = append(errs, fmt.Errorf("there is no Port %d", in.Port))
	}
	if in.Version != "" {
		if _, err := parseVersion(in.Version); err != nil {
			errs = append(errs, fmt.Errorf("the Version %q is %w", in.Version, err))
		}
	}
	if math.IsNaN(in.Load) || math.IsInf(in.Load, 0) {
		errs = append(errs, fmt.Errorf("the Load is %v", in.Load))
	}
	return errors.Join(errs...)
}

// Instance returns the instance as it is registered at present.
func (r *Registration) Instance() Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in.clone()
}

// Context is that of the present stay in the directory: it ends when the session does, when somebody deletes the node,
// or by Close. After a while the instance is back, with a new Context.
func (r *Registration) Context() context.Context { return r.p.Context() }

// Update changes what the directory shows of the instance, now and after every interruption. Service and ID stay as they
// are. When something else changes the instance at the same time, f is called again with the outcome of that.
func (r *Registration) Update(ctx context.Context, f func(*Instance)) error {
	if err := r.update(ctx, f); err != nil {
		return fmt.Errorf("update instance %s: %w", r.p.Path(), err)
	}
	return nil
}

// Drain tells pickers to turn away: the instance shows as draining, and is picked no more by those who know.
func (r *Registration) Drain(ctx context.Context) error {
	if err := r.update(ctx, func(in *Instance) { in.Status = Draining }); err != nil {
		return fmt.Errorf("drain instance %s: %w", r.p.Path(), err)
	}
	return nil
}

// Close drains the instance and then takes it out of the directory for good, which takes three seconds at most. An error
// that matches client.ErrDeletePending means that the removal goes on in the background. It may be called again.
func (r *Registration) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var err error
	r.once.Do(func() {
		close(r.closed)
		err = r.update(ctx, func(in *Instance) { in.Status = Draining })
	})
	if closeErr := r.p.Close(ctx); closeErr != nil {
		return errors.Join(err, closeErr)
	}
	return nil // gone: it does not matter that it may not have been seen to drain
}

func (r *Registration) update(ctx context.Context, f func(*Instance)) error {
	if err := r.change(f); err != nil {
		return err
	}
	return r.p.Ready(ctx)
}

// change changes the instance and leaves word with the presence, without waiting for that to be done.
func (r *Registration) change(f func(*Instance)) error {
	for {
		r.mu.Lock()
		in, gen := r.in.clone(), r.gen
		r.mu.Unlock()
		service, id := in.Service, in.ID
		f(&in)
		in.Service, in.ID = service, id
		if err := in.check(); err != nil {
			return err
		}
		data, err := instanceCodec{}.Encode(in)
		if err != nil || r.take(in.clone(), gen, data) {
			return err
		}
	}
}

// take makes in the present instance, unless another change came in between.
func (r *Registration) take(in Instance, gen int, data []byte) bool {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gen != gen {
		return false
	}
	r.in, r.gen = in, gen+1
	_ = r.p.Set(over, data) // with a context that is over it takes the data and waits for nothing
	return true
}
