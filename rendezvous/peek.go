package rendezvous

import "context"

// Peek returns what the master has posted now, as of a fresh look, and waits for nobody: Gone, if there is no posting.
func (p *Point[T]) Peek(ctx context.Context) (Info[T], error) {
	for seen, err := range p.infos(ctx) {
		return seen.Info, err
	}
	return Info[T]{}, nil // not reached: infos yields at least once
}

// Vacant waits until there is no posting. A master that was restarted waits so for the end of its own left-over, which
// lives for as long as its session does; somebody else may then be faster with the next Post all the same.
func (p *Point[T]) Vacant(ctx context.Context) error {
	for seen, err := range p.infos(ctx) {
		if err != nil || seen.Gone {
			return err
		}
	}
	return nil // not reached: infos ends with an error
}
