package payments

import (
	"context"
	"errors"
	"sync"
)

// errGone stands for who asked and went away before the answer.
var errGone = errors.New("whoever asked has gone")

// asking is the questions about Checkout Sessions that are under way in this process, so
// that a page which is visited several times at once asks once.
type asking struct {
	mu  sync.Mutex
	now map[string]*question
}

// question is one of them; err is there once done is closed.
type question struct {
	done chan struct{}
	err  error
}

// once asks about a session, or waits for who is asking already and returns the same.
// Should that one have gone away, the question is asked anew.
func (a *asking) once(ctx context.Context, session string, ask func() error) error {
	for {
		a.mu.Lock()
		q, under := a.now[session]
		if !under {
			q = &question{done: make(chan struct{})}
			a.now[session] = q
		}
		a.mu.Unlock()
		if !under {
			return a.answer(ctx, session, q, ask)
		}
		select {
		case <-q.done:
			if !errors.Is(q.err, errGone) {
				return q.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer asks, and tells those who wait, whatever happens.
func (a *asking) answer(ctx context.Context, session string, q *question, ask func() error) error {
	q.err = errGone
	defer func() {
		a.mu.Lock()
		delete(a.now, session)
		a.mu.Unlock()
		close(q.done)
	}()
	err := ask()
	if err == nil || ctx.Err() == nil {
		q.err = err
	}
	return err
}
