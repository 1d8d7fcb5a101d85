package groups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// SetStatus changes the status of an instance of somebody else, as an operator does: Draining turns pickers away, Up
// lets them come again. An instance of a Registration takes the status over, and keeps it from session to session; one
// of Curator's has it until it registers again. It fails with an error that matches ErrNoInstance if there is none.
// Of the options it heeds Under.
func SetStatus(ctx context.Context, c *client.Client, service, id string, status Status, o ...Option) error {
	opts, err := newOptions(o)
	err = errors.Join(err, checkID("the name of a service", service), checkID("the ID of an instance", id))
	if status != Up && status != Draining {
		err = errors.Join(err, fmt.Errorf("there is no status %q", status))
	}
	if err == nil {
		err = setStatus(ctx, c, zpath.Join(zpath.Join(opts.base, service), id), status)
	}
	if errors.Is(err, client.ErrNoNode) {
		err = ErrNoInstance
	}
	if err != nil {
		return fmt.Errorf("set the status of %s %s: %w", service, id, err)
	}
	return nil
}

// setStatus writes until nobody else has written in between. Doing it twice does no harm.
func setStatus(ctx context.Context, c *client.Client, path string, status Status) error {
	for {
		node, err := c.Get(ctx, path, client.Fresh())
		if err != nil {
			return err
		}
		data, err := withStatus(node.Data, status)
		if err != nil {
			return err
		}
		_, err = c.Set(ctx, path, data, node.Stat.Version)
		again := errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrMaybeApplied)
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

// withStatus changes the JSON of an instance where it tells the status, and leaves all else as whoever registered it
// wrote it: a payload of another kind is not touched.
func withStatus(data []byte, status Status) ([]byte, error) {
	if _, err := (instanceCodec{}).Decode(data); err != nil {
		return nil, err
	}
	var fields, payload map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("decode a service instance: %w", err)
	}
	fields["enabled"] = json.RawMessage(fmt.Sprint(status != Draining))
	_ = json.Unmarshal(fields["payload"], &payload) // not an object: another kind
	if old := string(payload["status"]); old == `"up"` || old == `"draining"` {
		payload["status"] = json.RawMessage(fmt.Sprintf("%q", status))
		text, err := json.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("encode a payload: %w", err)
		}
		fields["payload"] = text
	}
	return json.Marshal(fields)
}

// heed takes over the status that somebody else has given our instance; all else is ours to say.
func (r *Registration) heed(data []byte) {
	in, err := instanceCodec{}.Decode(data)
	if err != nil || in.Status != Up && in.Status != Draining || in.Status == r.Instance().Status {
		return
	}
	select {
	case <-r.closed: // it drains for good
	default:
		_ = r.change(func(own *Instance) { own.Status = in.Status }) // what fails now failed before, too
	}
}
