package doctor

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// The states of Postgres with a remedy of their own.
const (
	diskFull = "53100"
	readOnly = "25006"
	noRight  = "42501"
	// tooManyConnections refuses a connection.
	tooManyConnections = "53300"
	writtenBlocks      = 128 // Of 8 KB: more than the free space of the files.
)

// A temporary table makes Postgres extend a file, which the rows of a table with free
// space do not. Its rows are too short to be compressed.
const (
	extendSQL = `CREATE TEMPORARY TABLE doctor_writes ON COMMIT DROP AS
SELECT repeat('x', 1900)::text AS filler FROM generate_series(1, $1::integer * 4)`
	ledgerSQL = `INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, reason)
VALUES ('doctor', $1::text, 'doctor', 'ignored', 'no_handler')`
)

// writes does in a transaction what a delivery does, and rolls it back: a full disk lets
// reads pass, so that /health/db answers 200.
func (e *examination) writes(ctx context.Context) ([]Finding, error) {
	tx, err := e.DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(ctx, ledgerSQL, "evt_doctor_"+rand.Text())
	if err == nil {
		_, err = tx.ExecContext(ctx, strings.Replace(extendSQL, "$1::integer", strconv.Itoa(writtenBlocks), 1))
	}
	switch pg.SQLState(err) {
	case diskFull:
		return []Finding{problem(DatabaseWrites, "the database's disk is full: events are answered 500 and nothing is "+
			"booked, although reads work",
			"Free space or grow the volume: RUNBOOK.md, \"Full disk\".")}, nil
	case readOnly, noRight:
		return nil, nil // Other checks find these.
	}
	if err != nil {
		return nil, err
	}
	return []Finding{ok(DatabaseWrites, "a delivery can be written")}, nil
}

// lockedFor is how long a session may block others before it is a finding.
const lockedFor = 2 * time.Second

func (e *examination) locks(ctx context.Context) ([]Finding, error) {
	all, err := postgres.Blockers(ctx, e.DB, lockedFor)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return []Finding{ok(DatabaseLocks, "no session blocks others")}, nil
	}
	var found []Finding
	for _, b := range all {
		found = append(found, problem(DatabaseLocks, fmt.Sprintf("%d sessions wait, the first for %s, for %s", b.Waiting,
			b.Longest.Round(time.Second), b),
			fmt.Sprintf("Ask its owner to end it, or run: SELECT pg_terminate_backend(%d); its transaction is rolled back.",
				b.PID)))
	}
	return found, nil
}

func (e *examination) maintenance(ctx context.Context) ([]Finding, error) {
	var reason string
	var since time.Time
	err := e.DB.QueryRowContext(ctx, `SELECT since, reason FROM booking_platform.maintenance`).Scan(&since, &reason)
	if errors.Is(err, sql.ErrNoRows) {
		return []Finding{ok(Maintenance, "off")}, nil
	}
	if err != nil {
		return nil, err
	}
	return []Finding{warning(Maintenance, "on since "+since.UTC().Format(time.RFC3339)+", nothing is sold: "+reason,
		"When the work is done, run: host maintenance off.")}, nil
}

// counter finds the counters of deliveries in the metrics.
var counter = regexp.MustCompile(`(?m)^booking_webhook_(deliveries|reasons|signatures)_total\{[a-z]+="([a-z0-9_]+)"\} (\S+)$`)

// deliveries judges the counters of the running host: failed deliveries that could not be
// written leave no row in the ledger, and rejected ones never do.
func deliveries(metrics string) Finding {
	n := map[string]float64{}
	for _, m := range counter.FindAllStringSubmatch(metrics, -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		if err == nil {
			n[m[1]+" "+m[2]] += v
			n[m[1]] += v
		}
	}
	failed, wrong, good := n["deliveries failed"], n["reasons signature_wrong"], n["signatures"]
	clock := n["reasons timestamp_too_old"] + n["reasons timestamp_in_future"]
	found := fmt.Sprintf("since its start, the running host has verified %.0f deliveries; %.0f failed, and %.0f were "+
		"rejected (%.0f with a wrong signature, %.0f with a wrong time)", good, failed, n["deliveries rejected"], wrong, clock)
	switch {
	case wrong > 0 && good == 0:
		return problem(Deliveries, found, "Copy the endpoint's signing secret into STRIPE_WEBHOOK_SECRET: RUNBOOK.md, "+
			"\"Invalid signatures\".")
	case failed > 0:
		return warning(Deliveries, found, "Look for \"outcome\":\"failed\" in the log, which has the error: RUNBOOK.md, "+
			"\"Webhook retries\".")
	case clock > 0:
		return warning(Deliveries, found, "Check the clock of this machine: RUNBOOK.md, \"Clock\".")
	}
	return ok(Deliveries, found)
}
