package pg

import "database/sql"

var SlotsOf = slotsOf

var ConnectionLost = connectionLost

// Suspend suspends the writes of a pool, as the loss of a waiting connection does.
func Suspend(db *sql.DB) { writesOf(db).suspend() }
