package embedded

import (
	"fmt"
	"time"
)

// HeldError says that another process runs a server on the data folder.
type HeldError struct {
	// Dir is the folder.
	Dir string
	// PID is the process that started the server, Program its name and Since when it did;
	// zero where it is not known.
	PID     int
	Program string
	Since   time.Time
}

func (e *HeldError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d (%s), since %s", e.PID, e.Program, e.Since.UTC().Format(time.DateTime+" UTC"))
	}
	return fmt.Sprintf("the data folder %s is in use by %s: stop that, or choose another folder (DATA_DIR)", e.Dir, who)
}
