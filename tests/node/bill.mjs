// A bill of materials against CycloneDX's own schema of its version, and its package URLs as another program reads them.
//
//   node bill.mjs BILL.json       prints the parts of each component's purl, one a line; exit status 1 and why where the bill is none
import fs from 'node:fs';
import { Validation } from '@cyclonedx/cyclonedx-library';
import { PackageURL } from 'packageurl-js';

const text = fs.readFileSync(process.argv[2], 'utf8');
const { specVersion, components } = JSON.parse(text);
const wrong = await new Validation.JsonStrictValidator(specVersion).validate(text);
if (wrong !== null) {
  console.error(JSON.stringify(wrong, null, 1));
  process.exit(1);
}
for (const { purl } of components) {
  const { type, namespace, name, version, qualifiers } = PackageURL.fromString(purl);
  console.log(JSON.stringify({ type, namespace, name, version, qualifiers }));
}
