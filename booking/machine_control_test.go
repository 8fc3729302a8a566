package booking_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// dawdle lets whoever inserts a booking wait, so that several who have seen the same free
// units insert at once: what follows needs no luck.
const dawdle = `
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
CREATE TRIGGER dawdle BEFORE INSERT ON booking_platform.bookings FOR EACH ROW EXECUTE FUNCTION dawdle()`

// The machines can fail: where the database does not forbid it, a slot is sold twice, and
// they see it.
func TestControlTheMachineSeesWhatTheConstraintForbids(t *testing.T) {
	t.Parallel()
	const drop = `ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`
	tests := map[string]struct {
		statements []string
		fails      bool
	}{
		"with the constraint": {statements: []string{dawdle}},
		"without it":          {statements: []string{dawdle, drop}, fails: true},
	}
	batches := rapid.SliceOfN(rapid.SliceOfN(drawAct, 3, 4), 4, 8)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			for _, statement := range test.statements {
				exec(t, db, statement)
			}
			var failure error
			for seed := 0; seed < 10 && failure == nil; seed++ {
				w, err := newWorld(db, 1)
				require.NoError(t, err)
				for _, batch := range batches.Example(seed) {
					// The first two want the same.
					batch[0] = act{Do: "hold", Party: 1}
					batch[1] = batch[0]
					if failure = w.batch(batch); failure != nil {
						break
					}
					if b := w.model.bookings[0]; b.status == booking.Pending {
						require.NoError(t, w.batch([]act{{Do: "cancel"}}))
					}
				}
			}
			if test.fails {
				require.ErrorContains(t, failure, "sold twice")
				return
			}
			require.NoError(t, failure)
		})
	}
}
