// Package java stands in for the part of pulumi-java that the provider needs to generate its Java SDK, which is never
// done here.
package java

type PackageInfo struct {
	BuildFiles                      string
	GradleNexusPublishPluginVersion string
	Dependencies                    map[string]string
}
