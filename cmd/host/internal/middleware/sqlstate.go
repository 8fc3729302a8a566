package middleware

import "errors"

// SQLState is the SQLSTATE of a database's error, whichever driver made it, or "": what a
// log line says of it.
func SQLState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}
