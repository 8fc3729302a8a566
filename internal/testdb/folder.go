package testdb

import (
	"os"
	"path/filepath"
)

// memoryFolder is a file system in memory on most Linux machines. Creating and dropping a
// database per test costs more on a disk than the tests themselves, and nothing has to
// survive the test binary.
const memoryFolder = "/dev/shm"

// enoughMemory is how many bytes must be free for the cluster of one test binary: WAL
// takes up to 1 GiB, a database 10 MB, and several test binaries run at once. The 64 MB
// that a container has there by default are too few.
const enoughMemory = 2 << 30

// clusterFolder makes the folder for a server of our own, in memory where there is room,
// else among the temporary files, and describes which it is.
func clusterFolder(memory string, free func(string) (uint64, error)) (dir, described string, err error) {
	if room, err := free(memory); err == nil && room >= enoughMemory {
		if dir, err := os.MkdirTemp(memory, "booking-postgres-"); err == nil {
			return dir, "data in memory (" + memory + ")", nil
		}
	}
	dir, err = os.MkdirTemp("", "booking-postgres-")
	return dir, "data in " + filepath.Dir(dir), err
}
