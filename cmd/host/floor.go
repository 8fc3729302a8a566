package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/migrations"
)

// floor has, for each set of migrations, the version that the release before this one has:
// each release works with the schema of the next, and no further. It is empty until there
// are two releases; deploy/release compares it with git.
var floor = map[string]int{}

const (
	floorSQL = `SELECT f.set_name, f.version FROM booking_platform.schema_floor f ORDER BY f.set_name`
	raiseSQL = `
INSERT INTO booking_platform.schema_floor AS f (set_name, version) VALUES ($1::text, $2::integer)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(f.version, EXCLUDED.version)`
)

// checkFloor returns an error if this program is older than the schema's floor.
func checkFloor(ctx context.Context, db *sql.DB) error {
	known, err := migrations.Status(ctx, db, migrations.All)
	if err != nil {
		return err
	}
	newest := map[string]int{}
	for _, m := range known {
		newest[m.Set] = m.Version
	}
	rows, err := db.QueryContext(ctx, floorSQL)
	if state := pg.SQLState(err); state == "42P01" || state == "3F000" {
		return nil // Not migrated yet.
	}
	if err != nil {
		return fmt.Errorf("read the schema's floor: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var set string
		var version int
		if err := rows.Scan(&set, &version); err != nil {
			return fmt.Errorf("read the schema's floor: %w", err)
		}
		if version > newest[set] {
			return fmt.Errorf("the schema is two releases newer than this program, which does not work with it "+
				"(%s %d; the oldest that does is %d): start a newer version; see RUNBOOK.md, \"Roll back\"", set,
				newest[set], version)
		}
	}
	return rows.Err()
}

// raiseFloor records the floor of this release.
func raiseFloor(ctx context.Context, db *sql.DB) error {
	for set, version := range floor {
		if _, err := db.ExecContext(ctx, raiseSQL, set, version); err != nil {
			return fmt.Errorf("record the schema's floor: %w", err)
		}
	}
	return nil
}
