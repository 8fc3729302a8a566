package auth

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"strings"
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

// TakeOnce puts budgets there and takes from them, in the order that is asked for, and runs nothing again. Each has the same key whatever the order.
func TakeOnce(ctx context.Context, db *sql.DB, parts []string) error {
	var keys []string
	for _, part := range parts {
		key := sha256.Sum256([]byte(part))
		keys = append(keys, hex.EncodeToString(key[:]))
	}
	list := strings.Join(keys, ",")
	if _, err := db.ExecContext(ctx, putBudgets, list); err != nil {
		return err
	}
	var wait float64
	var missing string
	return db.QueryRowContext(ctx, takeBudgets, strings.Join(parts, ","), list, "0.001,0.001", "1000000,1000000").Scan(&wait, &missing)
}

// NewPasswords is how passwords are compared, for a test that has a clock of its own. Without turns nobody is let in.
func NewPasswords(turns int, compare func(password, hash string) (bool, error)) func(context.Context) (bool, error) {
	p := newPasswords(1, 0)
	p.turns, p.compare = make(chan struct{}, turns), compare
	return func(ctx context.Context) (bool, error) { return p.matches(ctx, "password", "hash") }
}

// Refusal is how long a refusal takes by default.
const Refusal = 500 * time.Millisecond

// Hash makes a stored password hash.
func Hash(password string) (string, error) { return argon2id.CreateHash(password, hashParams) }
