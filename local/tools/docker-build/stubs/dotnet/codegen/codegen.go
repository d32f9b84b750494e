// Package codegen stands in for the part of pulumi-dotnet that the provider needs to generate its .NET SDK, which is
// never done here.
package codegen

type CSharpPackageInfo struct {
	RespectSchemaVersion bool
	PackageReferences    map[string]string
}
