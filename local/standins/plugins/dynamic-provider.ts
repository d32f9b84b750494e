// Stand-in for `pulumi-resource-pulumi-nodejs`: starts the provider of dynamic resources that is part of @pulumi/pulumi.
import "./endWithEngine.ts";
import { createRequire } from "node:module";

createRequire(import.meta.url)("@pulumi/pulumi/cmd/dynamic-provider");
