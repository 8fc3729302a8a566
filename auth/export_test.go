package auth

import (
	"sync/atomic"

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

// Hash makes a stored password hash.
func Hash(password string) (string, error) { return argon2id.CreateHash(password, hashParams) }
