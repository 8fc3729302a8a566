package auth_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A role or a database may have a stricter default, under which statements that meet are
// refused with 40001.
func TestStricterDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			exec(t, testdb.Open(t, testdb.PQ, url), `DO $$ BEGIN
				EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), '`+level+
				`');
			END $$`)
			a := newAuth(t, testdb.Open(t, testdb.PQ, url), auth.Options{})
			var wg sync.WaitGroup
			errs := make(chan error, 8*40*3)
			for range 8 {
				wg.Go(func() {
					for range 40 {
						w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil)
						errs <- a.Start(t.Context(), w, r, "ada")
						_, err := a.EndAll(t.Context(), "ada")
						errs <- err
						_, err = a.DeleteExpired(t.Context())
						errs <- err
					}
				})
			}
			wg.Wait()
			close(errs)
			for err := range errs {
				require.NoError(t, err)
			}

			limits := auth.LoginLimits{AccountFromNetwork: slow(4), Account: slow(6)}
			var tried atomic.Int32
			for range 8 {
				other := limited(t, testdb.Open(t, testdb.PQ, url), limits)
				wg.Go(func() {
					for range 4 {
						switch code := attempt(other, "n", "ada@example.com", "wrong").Code; code {
						case http.StatusUnauthorized:
							tried.Add(1)
						case http.StatusTooManyRequests:
						default:
							t.Errorf("answered %d", code)
						}
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 10, tried.Load(), "the budget is exact")
		})
	}
}
