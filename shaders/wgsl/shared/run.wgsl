// What changes from run to run. (pick writes it for the step that follows.)
#import shared/fields
@group(0) @binding(1) var<storage, read> run: Run;
