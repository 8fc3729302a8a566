package stripetest

import (
	"iter"
	"slices"
)

// store keeps objects by id and in the order they came, the newest of them.
// Callers hold the Server's mutex.
type store[T any] struct {
	byID  map[string]*T
	order []string // ids, oldest first
}

func newStore[T any]() store[T] { return store[T]{byID: map[string]*T{}} }

// add remembers a new object, and forgets the oldest when there are more than keep.
func (st *store[T]) add(id string, object *T, keep int) {
	st.byID[id] = object
	st.order = append(st.order, id)
	if len(st.order) > keep {
		delete(st.byID, st.order[0])
		st.order = st.order[1:]
	}
}

// newestFirst yields all objects.
func (st *store[T]) newestFirst() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, id := range slices.Backward(st.order) {
			if !yield(st.byID[id]) {
				return
			}
		}
	}
}
