package auth

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
)

// CountComparisons counts the passwords that are hashed to be compared.
func CountComparisons(t *UserTable) *atomic.Int64 {
	var n atomic.Int64
	compare := t.passwords.compare
	t.passwords.compare = func(password, hash string) (bool, error) {
		n.Add(1)
		return compare(password, hash)
	}
	return &n
}

// ReplaceComparison lets a test decide what a comparison does.
func ReplaceComparison(t *UserTable, compare func(password, hash string) (bool, error)) {
	t.passwords.compare = compare
}

// DummyHash is what those are compared with who may not log in.
func DummyHash(t *UserTable) string { return t.passwords.dummy }

// NewPasswords is how passwords are compared, for a test that has a clock of its own.
// Without turns nobody is let in.
func NewPasswords(turns int, compare func(password, hash string) (bool, error)) func(context.Context) (bool, error) {
	p := newPasswords(1, 0)
	p.hashSlots, p.compare = make(chan struct{}, turns), compare
	return func(ctx context.Context) (bool, error) { return p.matches(ctx, "password", "hash") }
}

// Refusal is how long a refusal takes by default.
const Refusal = 500 * time.Millisecond

// Hash makes a stored password hash.
func Hash(password string) (string, error) { return argon2id.CreateHash(password, hashParams) }
