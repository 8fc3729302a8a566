package migrations

import (
	"context"
	"database/sql"
	"io/fs"
)

func UpFrom(ctx context.Context, db *sql.DB, source fs.FS, sets Set) ([]Migration, error) {
	return up(ctx, db, source, sets)
}

const LockID = lockID
