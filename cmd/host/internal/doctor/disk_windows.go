package doctor

import "golang.org/x/sys/windows"

// freeSpace returns the free bytes for an ordinary user.
func freeSpace(dir string) (free uint64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

func writable(string) bool { return true }
