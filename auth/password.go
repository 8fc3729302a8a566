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

// passwords bounds concurrent hashing: a hundred would take two gigabytes.
type passwords struct {
	hashSlots chan struct{}
	// refusal is the minimum duration of a failed comparison.
	refusal time.Duration
	// dummy costs as much as a real hash, and matches nothing.
	dummy   string
	compare func(password, hash string) (bool, error)
}

func newPasswords(limit int, refusal time.Duration) *passwords {
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	return &passwords{hashSlots: make(chan struct{}, limit), refusal: orDefault(refusal, 500*time.Millisecond),
		dummy: dummyHash(), compare: compareHash}
}

// dummyHash has random bytes in place of the key, so no password is known to match it.
func dummyHash() string {
	b := make([]byte, hashParams.SaltLength+hashParams.KeyLength)
	_, _ = rand.Read(b) // It never fails, see newToken.
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashParams.Memory, hashParams.Iterations,
		hashParams.Parallelism, enc.EncodeToString(b[:hashParams.SaltLength]),
		enc.EncodeToString(b[hashParams.SaltLength:]))
}

// maxBcryptCost takes about a second; each step doubles it.
const maxBcryptCost = 14

// compareHash also takes bcrypt, of another system, which covers the first 72 bytes only.
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

// readableHash excludes argon2id hashes without passes or lanes, on which the comparison
// panics, and those that would take too long.
func readableHash(hash string) bool {
	if cost, err := bcrypt.Cost([]byte(hash)); err == nil {
		return cost <= maxBcryptCost
	}
	params, _, key, err := argon2id.DecodeHash(hash)
	return err == nil && params.Iterations > 0 && params.Parallelism > 0 && len(key) > 0
}

func outdated(hash string) bool {
	params, _, _, err := argon2id.DecodeHash(hash)
	return err != nil || *params != *hashParams
}

// matches returns a failure after p.refusal, without a hash slot meanwhile, so that its
// duration reveals neither which users exist nor which have a foreign hash.
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
		return fmt.Errorf("wait for a slot to hash: %w", ctx.Err())
	}
}

func (p *passwords) release() { <-p.hashSlots }
