package booking

import (
	"context"
	"encoding/json"
	"strings"
)

// Confirmation names a booking that is to be confirmed, and who does it; see [WithActor].
type Confirmation struct {
	ID    string `json:"id"`
	Actor string `json:"actor"`
}

// Locked first, and whoever has one locked is not waited for: so it takes no part in a
// deadlock.
const confirmSeveralSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.actor FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, actor text)
), locked AS MATERIALIZED (
    SELECT b.id FROM booking_platform.bookings b
    WHERE b.id IN (SELECT w.id FROM wanted w) AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
    FOR NO KEY UPDATE OF b SKIP LOCKED
), changed AS (
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    FROM locked l WHERE b.id = l.id AND b.status = 'pending'
      AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
    RETURNING b.id
), recorded AS (` + recordSQL + `
    SELECT c.id, 'pending', 'confirmed', NULL, NULL, w.actor, '' FROM changed c JOIN wanted w ON w.id = c.id
)
SELECT c.id::text AS id FROM changed c`

// ConfirmSeveral confirms those of the bookings that are holds whose time has not passed,
// and returns their ids. The others are left as they are and say no reason: what is no
// longer pending, has lapsed, is not there, is named twice or is being changed by
// somebody else at this moment. So it waits for nobody. The ids of what it confirms are
// locked until the transaction ends. One round trip.
func (t *Tx) ConfirmSeveral(ctx context.Context, wanted []Confirmation) ([]string, error) {
	valid := make([]Confirmation, 0, len(wanted))
	named := map[string]int{}
	for _, w := range wanted {
		w.ID = strings.ToLower(w.ID)
		named[w.ID]++
		if isID(w.ID) {
			valid = append(valid, w)
		}
	}
	once := valid[:0]
	for _, w := range valid {
		if named[w.ID] == 1 {
			once = append(once, w)
		}
	}
	if len(once) == 0 {
		return nil, nil
	}
	// Ids and names can always be written.
	text, _ := json.Marshal(once)
	type row struct {
		ID string `db:"id"`
	}
	rows, err := selectAll[row](ctx, t.q, confirmSeveralSQL, string(text))
	if err != nil {
		return nil, wrap(ctx, "confirm several", err)
	}
	ids := make([]string, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	return ids, nil
}
