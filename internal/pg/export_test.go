package pg

import "database/sql"

// SlotsOf is slotsOf.
var SlotsOf = slotsOf

// ConnectionLost is connectionLost.
var ConnectionLost = connectionLost

// Suspend has the pool suspend its writes, as after a connection that was lost while its
// commit waited.
func Suspend(db *sql.DB) { writesOf(db).suspend() }
