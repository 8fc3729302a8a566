package embedded

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Running is the URL of the server that another process runs on a data folder, as
// [Server.URL] is; for a command beside it, after Start has said by a [*HeldError] that
// there is one. Who may not read the folder gets an error, and so does who asks before
// the server has begun. The server stays the other's, and ends with it.
func Running(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	password, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	// Postgres writes there: process, folder, start, port, and more.
	pidFile, err := os.ReadFile(filepath.Join(dir, dataFolder, "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	lines := strings.Split(string(pidFile), "\n")
	if len(lines) < 4 {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	port, err := strconv.Atoi(strings.TrimSpace(lines[3]))
	if err != nil {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	return serverURL(owner, string(password), port, database), nil
}

// serverURL is where a server is. The encryption that lib/pq asks for by default has no
// use on the loopback.
func serverURL(role, password string, port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
