package pg

import "database/sql"

var SlotsOf = slotsOf

var ConnectionLost = connectionLost

// Suspend does what the loss of a waiting connection does.
func Suspend(db *sql.DB) { writesOf(db).suspend() }
