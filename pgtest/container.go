package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

const (
	// testcontainers itself retries for minutes.
	engineTimeout    = 5 * time.Second
	containerTimeout = 5 * time.Minute
	stopTimeout      = 30 * time.Second
	// The image that this version of testcontainers removes leftovers with.
	reaperImage = "testcontainers/ryuk:0.14.0"
)

func byContainer(ctx context.Context) (_ *server, err error) {
	log.SetDefault(log.NewNoopLogger())
	image := cmp.Or(os.Getenv("POSTGRES_IMAGE"), "postgres:16-alpine")
	images := []string{image}
	// Ryuk removes the containers of killed test binaries.
	if !testcontainers.ReadConfig().Config.RyukDisabled {
		images = append(images, reaperImage)
	}
	if err := canRun(ctx, images); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, containerTimeout)
	defer cancel()
	container, err := postgres.Run(ctx, image,
		postgres.WithDatabase("booking_platform"), postgres.WithUsername("booking"), postgres.WithPassword("booking"),
		testcontainers.WithCmdArgs("-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c",
			"max_connections=200", "-c", "timezone=UTC"),
		// In memory: copying databases on an engine's disk takes five times as long.
		// Images of Postgres 18 keep their data elsewhere and do not profit.
		testcontainers.WithTmpfs(map[string]string{"/var/lib/postgresql/data": "rw"}),
		postgres.BasicWaitStrategies(),
	)
	end := func() error {
		if container == nil {
			return nil
		}
		return testcontainers.TerminateContainer(container, testcontainers.StopTimeout(stopTimeout))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("start a container of %s: %w", image, err)
	}
	url, err := container.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("find the container of %s: %w", image, err)
	}
	return &server{url: url, by: "a container of " + image, end: end}, nil
}

// canRun returns an error unless the engine has the images or could pull them. It pulls
// nothing.
func canRun(ctx context.Context, images []string) (err error) {
	// testcontainers panics on some machines without an engine.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no container engine: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, engineTimeout, fmt.Errorf("no answer in %v", engineTimeout))
	defer cancel()
	engine, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	defer func() { _ = engine.Close() }()
	if _, err := engine.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("no container engine: %w", err)
	}
	for _, image := range images {
		_, err := engine.ImageInspect(ctx, image)
		if errdefs.IsNotFound(err) {
			_, err = engine.DistributionInspect(ctx, image,
				client.DistributionInspectOptions{EncodedRegistryAuth: credentials(ctx, image)})
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("the engine has no image %s and cannot get it: %w", image, context.Cause(ctx))
		case err != nil && image == reaperImage:
			return fmt.Errorf("the engine has no image %s, which removes what killed tests leave (TESTCONTAINERS_RYUK_DISABLED=true does without), and cannot get it: %w", image, err)
		case err != nil:
			return fmt.Errorf("the engine has no image %s and cannot get it: %w", image, err)
		}
	}
	return nil
}

// credentials returns those of the user's docker login for the registry of an image, or
// the empty string.
func credentials(ctx context.Context, image string) string {
	_, auth, err := testcontainers.DockerImageAuth(ctx, image)
	if err != nil {
		return ""
	}
	encoded, err := authconfig.Encode(auth)
	if err != nil {
		return ""
	}
	return encoded
}
