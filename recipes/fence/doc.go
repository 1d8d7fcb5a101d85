// Package fence is the other half of fencing: the side of the resource that is to be protected.
//
// A holder that was paused, or cut off, may still believe that it holds after somebody else was given its place; no
// lock service can prevent that. What helps is that every hold has a token, that tokens grow from holder to holder, and
// that the resource remembers the highest token it has seen and refuses every lower one.
//
//	if err := guard.Admit(ctx, "orders", held.Token()); err != nil {
//		return err // ErrStaleToken: somebody else has been here since
//	}
//
// The check and the work it protects must be one atomic step, or the work of a late holder may slip in between: check
// inside the transaction, under the mutex, or on the one goroutine that does the work.
package fence
