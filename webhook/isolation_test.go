package webhook_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Where the role's default isolation is above READ COMMITTED, every failed attempt is
// recorded all the same, though the records of several replicas meet.
func TestFailuresAreRecordedUnderAStricterDefault(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	_, err := testdb.Open(t, testdb.PQ, url).ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
	END $$`)
	require.NoError(t, err)
	db := testdb.Open(t, testdb.PQ, url)
	const replicas, deliveries = 6, 15
	var wg sync.WaitGroup
	for range replicas {
		r := newReceiver(t, db, webhook.Options{})
		r.Handle(completed, failing(errors.New("out of tea")))
		wg.Go(func() {
			for range deliveries {
				send(t, r, event("evt_1", completed))
			}
		})
	}
	wg.Wait()
	require.Equal(t, replicas*deliveries, entry(t, db, "evt_1").Attempts)
}
