package s3

import (
	"errors"
	"fmt"
	"os"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	keyVariable    = "AWS_ACCESS_KEY_ID"
	secretVariable = "AWS_SECRET_ACCESS_KEY"
	tokenVariable  = "AWS_SESSION_TOKEN"
)

// credentials are read anew for each use of the bucket, so that those that were
// changed are taken up without a restart. What is in the file is in no error.
func (c Config) credentials() (*credentials.Credentials, error) {
	if c.CredentialsFile == "" {
		key, secret := os.Getenv(keyVariable), os.Getenv(secretVariable)
		if key == "" || secret == "" {
			return nil, fmt.Errorf("no credentials for the bucket; give them with --snapshot-s3-credentials-file, or as %s and %s in the environment", keyVariable, secretVariable)
		}
		return credentials.NewStaticV4(key, secret, os.Getenv(tokenVariable)), nil
	}
	fail := func(format string, a ...any) (*credentials.Credentials, error) {
		return nil, fmt.Errorf("--snapshot-s3-credentials-file: "+format, a...)
	}
	info, err := os.Stat(c.CredentialsFile)
	switch {
	case err != nil:
		return fail("%w", err)
	case !info.Mode().IsRegular():
		return fail("%s is no file", c.CredentialsFile)
	case info.Mode().Perm()&0o077 != 0:
		return fail("others can read %s; run chmod 600 %s", c.CredentialsFile, c.CredentialsFile)
	}
	if f, err := os.Open(c.CredentialsFile); err != nil {
		return fail("%w", err)
	} else if err := f.Close(); err != nil {
		return fail("%w", err)
	}
	all := credentials.NewFileAWSCredentials(c.CredentialsFile, "")
	got, err := all.GetWithContext(nil)
	if err == nil && (got.AccessKeyID == "" || got.SecretAccessKey == "") {
		err = errors.New("empty")
	}
	if err != nil { // it may quote a line of the file
		return fail("%s has no credentials that can be read; it needs the lines [default], aws_access_key_id = ID and aws_secret_access_key = SECRET", c.CredentialsFile)
	}
	return all, nil
}
