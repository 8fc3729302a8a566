//go:build unix

package embedded_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

// repository is a Maven repository.
type repository struct {
	*httptest.Server
	jar atomic.Pointer[[]byte]
	// handle replaces the answers, if set.
	handle    atomic.Pointer[http.HandlerFunc]
	downloads atomic.Int64
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	jar := jarOf(t, tarOf(t, runnable(t)))
	r.jar.Store(&jar)
	return r
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if h := r.handle.Load(); h != nil {
		(*h)(w, req)
		return
	}
	if !strings.HasPrefix(req.URL.Path, "/io/zonky/test/postgres/embedded-postgres-binaries-") {
		http.NotFound(w, req)
		return
	}
	jar := *r.jar.Load()
	switch {
	case strings.HasSuffix(req.URL.Path, ".jar"):
		r.downloads.Add(1)
		_, _ = w.Write(jar)
	case strings.HasSuffix(req.URL.Path, ".jar.sha256"):
		sum := sha256.Sum256(jar)
		_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
	}
}

// runnable are programs for the jar that execute this machine's.
func runnable(t *testing.T) map[string]string {
	t.Helper()
	folder, err := embedded.Folder(t.Context())
	require.NoError(t, err)
	files := map[string]string{}
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		files["bin/"+name] = "#!/bin/sh\nexec '" + filepath.Join(folder, name) + "' \"$@\"\n"
	}
	return files
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}))
	for name, content := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755,
			Size: int64(len(content))}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func jarOf(t *testing.T, archive []byte) []byte { return jarWith(t, xz(archive)) }

func jarWith(t *testing.T, txz []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	// Stored, so that a flipped byte is found by the checksums and not by the
	// decompressor.
	file, err := w.CreateHeader(&zip.FileHeader{Name: "postgres-any.txz", Method: zip.Store})
	require.NoError(t, err)
	_, err = file.Write(txz)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
