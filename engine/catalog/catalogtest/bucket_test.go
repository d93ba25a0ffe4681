package catalogtest

import (
	"testing"

	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/buckettest"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return new(Bucket) })
}
