package embedded

import (
	"bytes"
	"errors"
	"fmt"
)

var errPortTaken = errors.New("no port on 127.0.0.1 stays free long enough to be used: start again")

// What Postgres and initdb say when the machine is the reason, and what there is to do.
// The rest speaks for itself.
var remedies = []struct {
	says string
	err  error
}{
	{"could not bind", errPortTaken},
	{"could not look up effective user ID",
		errors.New("the server Postgres needs a name for the user that it runs as, and this one has none on this machine: " +
			"add a line for its number to /etc/passwd, start as another user, or use a Postgres that runs already (STORAGE_DRIVER=db, DATABASE_URL)")},
	{"No space left on device", errors.New("the disk is full: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Disk quota exceeded",
		errors.New("the disk quota is used up: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Permission denied",
		errors.New("a permission is missing: choose a folder that this user may write to (DATA_DIR)")},
}

// explain adds the end of what a program said to the error it ended with, and the remedy
// where it is known.
func explain(said []byte, err error) error {
	said = bytes.TrimSpace(said)
	const end = 2000
	tail := said
	if len(tail) > end {
		tail = append([]byte("…"), tail[len(tail)-end:]...)
	}
	for _, r := range remedies {
		if bytes.Contains(said, []byte(r.says)) {
			return fmt.Errorf("%w (%w); Postgres says:\n%s", r.err, err, tail)
		}
	}
	return fmt.Errorf("%w; Postgres says:\n%s", err, tail)
}
