package migrations

import (
	"context"
	"database/sql"
	"io/fs"
)

// UpFrom applies the sets from other files than the embedded ones.
func UpFrom(ctx context.Context, db *sql.DB, source fs.FS, sets Set) ([]Migration, error) {
	return up(ctx, db, source, sets)
}

// LockID is the advisory lock under which hosts take turns.
const LockID = lockID
