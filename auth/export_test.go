package auth

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
)

func CountComparisons(t *UserTable) *atomic.Int64 {
	var n atomic.Int64
	compare := t.passwords.compare
	t.passwords.compare = func(password, hash string) (bool, error) {
		n.Add(1)
		return compare(password, hash)
	}
	return &n
}

func ReplaceComparison(t *UserTable, compare func(password, hash string) (bool, error)) {
	t.passwords.compare = compare
}

// DummyHash is compared for unknown and inactive users.
func DummyHash(t *UserTable) string { return t.passwords.dummy }

// NewPasswords compares with that many hash slots, for a test with its own clock.
func NewPasswords(slots int, compare func(password, hash string) (bool, error)) func(context.Context) (bool, error) {
	p := newPasswords(1, 0)
	p.hashSlots, p.compare = make(chan struct{}, slots), compare
	return func(ctx context.Context) (bool, error) { return p.matches(ctx, "password", "hash") }
}

// Refusal is the default RefusalTime.
const Refusal = 500 * time.Millisecond

// Hash returns a password hash.
func Hash(password string) (string, error) { return argon2id.CreateHash(password, hashParams) }
