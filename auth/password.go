package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// hashParams follow OWASP's first recommendation for argon2id: about 45 ms on one core.
var hashParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords computes hashes, only so many at a time: a hundred logins at once would
// otherwise take two gigabytes.
type passwords struct {
	hashSlots chan struct{}
	// refusal is how long a comparison takes that ends in a refusal, at least.
	refusal time.Duration
	// dummy costs as much to compare with as a real hash and matches nothing.
	dummy string
	// compare is replaced by the tests that count.
	compare func(password, hash string) (bool, error)
}

func newPasswords(limit int, refusal time.Duration) *passwords {
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	return &passwords{hashSlots: make(chan struct{}, limit), refusal: orDefault(refusal, 500*time.Millisecond),
		dummy: dummyHash(), compare: compareHash}
}

// dummyHash has a random key in place of a hash: no password is known to lead there, and
// making it costs nothing.
func dummyHash() string {
	b := make([]byte, hashParams.SaltLength+hashParams.KeyLength)
	_, _ = rand.Read(b) // It never fails, see newToken.
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashParams.Memory, hashParams.Iterations,
		hashParams.Parallelism, enc.EncodeToString(b[:hashParams.SaltLength]),
		enc.EncodeToString(b[hashParams.SaltLength:]))
}

// maxBcryptCost bounds what a stored hash may ask of us: each step above doubles the
// work, 14 is about a second.
const maxBcryptCost = 14

// compareHash compares a password with an argon2id hash, or with a bcrypt one, as other
// systems leave behind: bcrypt looks at the first 72 bytes alone.
func compareHash(password, hash string) (bool, error) {
	if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return argon2id.ComparePasswordAndHash(password, hash)
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// readableHash guards the comparison, which panics on an argon2id hash that claims no
// passes or no lanes, and must not take for ever.
func readableHash(hash string) bool {
	if cost, err := bcrypt.Cost([]byte(hash)); err == nil {
		return cost <= maxBcryptCost
	}
	params, _, key, err := argon2id.DecodeHash(hash)
	return err == nil && params.Iterations > 0 && params.Parallelism > 0 && len(key) > 0
}

// outdated tells whether a readable hash is made otherwise than we make them today.
func outdated(hash string) bool {
	params, _, _, err := argon2id.DecodeHash(hash)
	return err != nil || *params != *hashParams
}

// matches compares. Hashes of other systems take other times than ours: what does not
// match is told only when the time of a refusal has passed, which is waited for without a
// turn, so that the time does not tell which users have such a hash, nor who exists.
func (p *passwords) matches(ctx context.Context, password, hash string) (bool, error) {
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	began := time.Now()
	match, err := p.compareAndRelease(password, hash)
	if err != nil || match {
		return match, err
	}
	rest := time.NewTimer(p.refusal - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return false, nil
}

func (p *passwords) compareAndRelease(password, hash string) (bool, error) {
	defer p.release()
	return p.compare(password, hash)
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return argon2id.CreateHash(password, hashParams)
}

// hashWait bounds the wait for a turn: whoever waits longer waits behind a flood.
const hashWait = 5 * time.Second

func (p *passwords) acquire(ctx context.Context) error {
	late := time.NewTimer(hashWait)
	defer late.Stop()
	select {
	case p.hashSlots <- struct{}{}:
		return nil
	case <-late.C:
		return ErrBusy
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn to hash: %w", ctx.Err())
	}
}

func (p *passwords) release() { <-p.hashSlots }
